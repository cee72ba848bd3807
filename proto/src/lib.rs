//! tgmesh-proto
