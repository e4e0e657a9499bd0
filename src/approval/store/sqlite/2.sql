-- The words that were said with a no.
ALTER TABLE silences ADD COLUMN note TEXT;
