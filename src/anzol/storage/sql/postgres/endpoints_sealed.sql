-- Locked: nobody sets headers or secrets of theirs meanwhile.
select id, customer_id, environment, headers from anzol.endpoint
 where id > :after order by id limit :most for no key update
