use std::net::TcpStream;

use tgmesh_testkit::{Scratch, free_port, postgres};

#[tokio::test]
async fn comes_back_with_what_was_committed() {
    let scratch = Scratch::new().unwrap();
    let mut server = postgres::Server::start_in(scratch.path(), free_port()).await.unwrap();
    let url = server.ensure_database("mesh").await.unwrap();
    assert_eq!(server.ensure_database("mesh").await.unwrap(), url);
    server
        .query("mesh", "CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
        .await
        .unwrap();

    server.stop().await;
    TcpStream::connect(("127.0.0.1", server.port())).unwrap_err();
    server.start_again().await.unwrap();
    server.query("mesh", "INSERT INTO t VALUES (2)").await.unwrap();

    server.kill().await;
    server.start_again().await.unwrap();
    assert_eq!(
        server.query("mesh", "SELECT n, 'x' FROM t ORDER BY n").await.unwrap(),
        "1|x\n2|x"
    );

    // A new value for the same folder, as the next run has it, finds password and data again.
    drop(server);
    let server = postgres::Server::start_in(scratch.path(), free_port()).await.unwrap();
    assert_eq!(server.query("mesh", "SELECT count(*) FROM t").await.unwrap(), "2");
}

#[tokio::test]
async fn gives_each_test_a_database_of_its_own() {
    let server = postgres::Server::shared().await.unwrap();
    let one = server.database().await.unwrap();
    let two = server.database().await.unwrap();
    one.query("CREATE TABLE t ()").await.unwrap();
    two.query("CREATE TABLE t ()").await.unwrap();
    let (one_name, two_name) = (one.name().to_owned(), two.name().to_owned());
    let names = format!("SELECT datname FROM pg_database WHERE datname IN ('{one_name}', '{two_name}')");
    drop(one);
    assert_eq!(server.query("postgres", &names).await.unwrap(), two_name);
    drop(two);
    assert_eq!(server.query("postgres", &names).await.unwrap(), "");
}

#[tokio::test]
async fn lets_nobody_in_without_the_password() {
    let server = postgres::Server::shared().await.unwrap();
    let database = server.database().await.unwrap();
    let url = database.url();
    let password = url.split([':', '@']).nth(2).unwrap();
    assert_eq!(password.len(), 32);
    let error = server
        .query("postgres", "SELECT nonsense")
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("nonsense") && !error.contains(password), "{error}");
    let rules = server
        .query("postgres", "SELECT DISTINCT auth_method FROM pg_hba_file_rules")
        .await
        .unwrap();
    assert_eq!(rules, "scram-sha-256");
}
