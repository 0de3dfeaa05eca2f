-- The next messages, and of each whether it is meant.
select m.id, coalesce(true
-- conditions
       , false)
  from anzol.message m
 where m.environment = :environment
   and m.id < :after and m.id >= :through -- either way
 order by m.id desc limit :each -- either way
