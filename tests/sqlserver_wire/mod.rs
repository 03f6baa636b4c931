//! The client of SQL Server over real sockets, against the stand-in database: what comes out of it is what is in there.

mod catalog;
mod changes;
mod rows;
mod shop;
