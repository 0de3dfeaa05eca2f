delete from anzol_answer where slot in (
    select slot from anzol_answer where created_at <= :before order by created_at limit :most)
