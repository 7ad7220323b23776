//! Model servers: clients and the managed llama.cpp server
