-- The next messages, and of each whether it is meant.
select m.id, coalesce(true
-- conditions
       , false)
  from anzol.message m
 where m.environment = :environment and m.id < :before and m.id >= :first
 order by m.id desc limit :each
