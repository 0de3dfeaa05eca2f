delete from anzol_portal_code where digest in (
    select digest from anzol_portal_code where expires_at <= :now order by expires_at limit :most)
