-- The oldest messages from a place on, as far as they are old.
select json_group_array(seq) from (
    select seq, created_at from anzol_message where seq > :after order by seq limit :most) where created_at < :before
