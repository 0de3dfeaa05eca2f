delete from anzol.revocation where ctid = any(array(
    select ctid from anzol.revocation where keep_until < :now order by keep_until limit :most))
