//! Users of the database.

use deadpool_postgres::Object;

use crate::error::StoreError;
use crate::store::{Store, Task};

impl Store {
    /// Makes a user who may read and nothing else, or gives it a new password. The migrations give
    /// the role behind it its rights, before or after.
    ///
    /// # Errors
    /// See [`StoreError`]; among others when this store's own user may make none.
    pub async fn ensure_reader(&self, name: &str, password: &str) -> Result<(), StoreError> {
        self.carry_out(&Ensure { name, password }).await
    }
}

struct Ensure<'a> {
    name: &'a str,
    password: &'a str,
}

impl Task for Ensure<'_> {
    type Output = ();

    async fn run(&self, client: &mut Object) -> Result<(), StoreError> {
        // Statements about roles take no parameters: the server quotes them.
        let statements = client
            .query(
                "SELECT 'CREATE ROLE tgmesh_reader NOLOGIN' \
                 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tgmesh_reader') \
                 UNION ALL SELECT format('CREATE ROLE %I IN ROLE tgmesh_reader', $1::text) \
                 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = $1) \
                 UNION ALL SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1, $2::text)",
                &[&self.name, &self.password],
            )
            .await?;
        for statement in &statements {
            client.batch_execute(statement.try_get(0)?).await?;
        }
        Ok(())
    }
}
