use std::process::{Command, Output};

fn run(env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tgmesh-gateway"));
    for name in [
        "JWT_SECRET",
        "JWT_SECRET_FILE",
        "JWT_JWKS",
        "JWT_ALGORITHM",
        "NATS_URL",
        "ALLOWED_ORIGINS",
        "DATABASE_URL",
        "DATABASE_URL_FILE",
    ] {
        command.env_remove(name);
    }
    command.envs(env.iter().copied()).output().expect("it runs")
}

#[test]
fn every_fault_in_one_run_and_64() {
    let output = run(&[
        ("GATEWAY_LISTEN", "nowhere"),
        ("MAX_CONNECTIONS", "0"),
        ("ALLOWED_ORIGINS", "*"),
        ("JWT_SECRET", "too short, and secret"),
        ("NATS_URL", "http://x"),
        ("STREAM_MAX_AGE", "7"),
        ("LOG_FORMAT", "xml"),
        ("DATABASE_URL", "mysql://ann:hunter2@db/x"),
    ]);
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    let names = [
        "GATEWAY_LISTEN",
        "MAX_CONNECTIONS",
        "ALLOWED_ORIGINS",
        "JWT_SECRET",
        "NATS_URL",
        "STREAM_MAX_AGE",
        "LOG_FORMAT",
        "DATABASE_URL",
    ];
    for name in names {
        assert_eq!(
            text.lines().filter(|line| line.contains(&format!(" {name}: "))).count(),
            1,
            "{name}: {text}"
        );
    }
    assert_eq!(text.lines().count(), names.len(), "{text}");
    assert!(
        !text.contains("and secret") && !text.contains("hunter2"),
        "a secret was printed: {text}"
    );
}

#[test]
fn keys_have_to_fit_the_algorithm() {
    let fault = |env: &[(&str, &str)], expected: &str| {
        let output = run(env);
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(64), "{text}");
        assert!(text.contains(expected), "{text}");
    };
    let secret = ("JWT_SECRET", "0123456789abcdef0123456789abcdef");
    fault(&[], "JWT_SECRET: is required");
    fault(&[("JWT_ALGORITHM", "none"), secret], "JWT_ALGORITHM");
    fault(&[("JWT_ALGORITHM", "RS256")], "JWT_JWKS: is required");
    fault(&[("JWT_ALGORITHM", "RS256"), secret], "JWT_ALGORITHM: must be HS256");
    fault(
        &[("JWT_JWKS", "/nowhere"), secret],
        "JWT_JWKS: and JWT_SECRET are both set",
    );
    fault(
        &[("JWT_ALGORITHM", "ES256"), ("JWT_JWKS", "/nowhere")],
        "JWT_JWKS: /nowhere cannot be read",
    );
}

#[test]
fn help_names_every_variable_and_no_secret_flag() {
    let output = Command::new(env!("CARGO_BIN_EXE_tgmesh-gateway"))
        .arg("--help")
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    // Lines are wrapped anywhere.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for name in [
        "GATEWAY_LISTEN",
        "ALLOWED_ORIGINS",
        "MAX_CONNECTIONS",
        "JWT_ALGORITHM",
        "JWT_JWKS",
        "NATS_URL",
    ] {
        assert!(text.contains(&format!("[env: {name}")), "{name}: {text}");
    }
    assert!(!text.contains("--jwt-secret"), "{text}");
}
