-- Of these customers those with a throttle, and what was granted last; locked, in order.
select id, throttle, granted_until, granted_to, :now
  from anzol.customer where id = any(:customers::uuid[]) and throttle is not null order by id for update
