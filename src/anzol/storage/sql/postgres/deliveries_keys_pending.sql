-- The next pending deliveries, and of each whether it is meant.
select x.message_id, x.endpoint_id, coalesce((select true from anzol.message m where m.id = x.message_id
-- conditions
       ), false)
  from (select p.message_id, p.endpoint_id, 0 as state from anzol.pending p
         where (p.message_id, p.endpoint_id) < (:after, :after_endpoint) and p.message_id >= :through -- either way
         order by p.message_id desc, p.endpoint_id desc limit :each) x -- either way
