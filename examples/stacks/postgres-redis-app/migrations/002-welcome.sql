INSERT INTO messages (text) VALUES ('Hello from PostgreSQL.');
