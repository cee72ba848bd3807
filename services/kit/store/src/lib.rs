//! tgmesh-store
