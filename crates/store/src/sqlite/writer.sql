pragma journal_mode = wal;
-- A commit is on the disk before it is answered. NORMAL would lose acknowledged writes when the
-- power goes.
pragma synchronous = full;
-- On macOS a plain fsync leaves the data in the drive's own cache. Has no effect elsewhere.
pragma fullfsync = on;
pragma foreign_keys = on;
-- What is deleted or overwritten is written over, so that nobody finds it in the file who looks at its bytes.
pragma secure_delete = on;
pragma temp_store = memory;
pragma cache_size = -32768;
pragma wal_autocheckpoint = 4000;
-- After a burst the log is cut back to this.
pragma journal_size_limit = 67108864;
