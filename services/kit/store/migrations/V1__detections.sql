-- One row per event. What is searched has a column; the rest of the event is in detail, so that
-- nothing of it is lost. The key holds the message date because a unique index on a partitioned
-- table must hold the partition key, and a message's date never changes.
CREATE TABLE detections (
    message_date  timestamptz      NOT NULL,
    id            uuid             NOT NULL,
    stream_epoch  text             NOT NULL,
    stream_seq    bigint           NOT NULL,
    event         text             NOT NULL,
    family        text             NOT NULL,
    chain         text,
    address       text             NOT NULL,
    coin_type     text,
    role          text             NOT NULL,
    method        text             NOT NULL,
    confidence    double precision NOT NULL,
    chat_id       bigint           NOT NULL,
    message_id    bigint           NOT NULL,
    revision      text             NOT NULL,
    edit_date     timestamptz,
    sender_id     bigint,
    -- The listener's clock.
    received_at   timestamptz      NOT NULL,
    detected_at   timestamptz      NOT NULL,
    published_at  timestamptz      NOT NULL,
    -- The stream's clock.
    stored_at     timestamptz      NOT NULL,
    -- This server's clock, when the row was written, shortly before its commit.
    archived_at   timestamptz      NOT NULL DEFAULT clock_timestamp(),
    -- Apart from detail, because it is kept for a shorter time than the event.
    text          text,
    detail        jsonb            NOT NULL,
    PRIMARY KEY (message_date, id)
) PARTITION BY RANGE (message_date);
