//! tgmesh-testkit
