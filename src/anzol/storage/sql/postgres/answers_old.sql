delete from anzol.answer where slot = any(array(
    select slot from anzol.answer where created_at <= :before order by created_at limit :most))
