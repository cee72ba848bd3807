//! tgmesh-listener
