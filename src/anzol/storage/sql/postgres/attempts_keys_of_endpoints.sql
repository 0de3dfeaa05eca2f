-- As attempts_keys, the next ones of each of these endpoints.
select x.id, x.endpoint_id, coalesce((select true from anzol.message m where m.id = x.message_id
-- conditions
       ), false)
  from (select a.*
          from unnest(:endpoints::uuid[]) as g (endpoint_id)
         cross join lateral (
               select y.id, y.message_id, y.endpoint_id, y.outcome, y.status, y.started_at from anzol.attempt y
                where y.endpoint_id = g.endpoint_id
                  and y.id < :after and y.id >= :through -- either way
                order by y.id desc limit :each) a) x -- either way
