-- Locked as long as the caller's transaction: nobody deletes it under his hands.
select id from anzol.customer where id = :id and deleted_at is null for share
