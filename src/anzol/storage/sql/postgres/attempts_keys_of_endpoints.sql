-- As attempts_keys, the next ones of each of these endpoints.
select x.id, x.endpoint_id, coalesce((select true from anzol.message m where m.id = x.message_id
-- conditions
       ), false)
  from (select a.id, a.message_id, a.endpoint_id, a.outcome
          from unnest(:endpoints::uuid[]) as g (endpoint_id)
         cross join lateral (
               select y.id, y.message_id, y.endpoint_id, y.outcome from anzol.attempt y
                where y.endpoint_id = g.endpoint_id and y.id < :before and y.id >= :first
                order by y.id desc limit :each) a) x
