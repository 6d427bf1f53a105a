CREATE TABLE messages (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text    text NOT NULL,
    written timestamptz NOT NULL DEFAULT now()
);
