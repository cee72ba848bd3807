//! tgmesh-telegram-sim
