select c.seq, c.id, c.seq, v.name, c.uid, c.name, c.metadata, c.throttle, c.created_at, c.updated_at, c.deleted_at,
       coalesce((select max(m.created_at) from anzol_message m
                  where m.customer_id = c.id and m.seq <= c.erase_through), c.deleted_at)
  from anzol_customer c join anzol_environment v on v.id = c.environment
 where c.seq > :after1 order by c.seq limit :most
