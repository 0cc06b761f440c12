// Comes with the client library.
