//! The wire types of the HTTP protocol, without any I/O.
