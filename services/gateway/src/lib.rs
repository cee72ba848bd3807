//! tgmesh-gateway
