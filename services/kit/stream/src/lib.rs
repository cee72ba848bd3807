//! tgmesh-stream
