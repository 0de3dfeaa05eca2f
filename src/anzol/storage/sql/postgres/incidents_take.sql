-- Incidents that nobody has been told of, the oldest first, for a minute ours.
with taken as (
    update anzol.incident set telling_until = :now + 60000000
     where id = any(array(
           select id from anzol.incident where telling_until is null or telling_until <= :now
            order by id limit :limit::int for update skip locked))
    returning id, kind, at, endpoint_id, message_id, detail
)
select t.id, t.kind, t.at, coalesce(c.uid, '') as customer, t.endpoint_id, e.url, e.contact, t.message_id, t.detail
  from taken t
  join anzol.endpoint e on e.id = t.endpoint_id
  left join anzol.customer c on c.id = e.customer_id
 order by t.id
