-- A dead worker's row, unless somebody else reaps it, or something in its name is under way. Locked for good: from here
-- on nothing can be claimed or settled in its name.
delete from anzol.worker
 where id = any(array(
       select id from anzol.worker
        where id = :worker and (:ended::boolean or expires_at <= :now or expires_at > :now + 2 * term)
          for update skip locked))
returning :now as now
