delete from anzol.portal_code where digest = any(array(
    select digest from anzol.portal_code where expires_at <= :now order by expires_at limit :most))
