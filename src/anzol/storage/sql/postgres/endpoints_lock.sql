-- In order: two that lock several do not wait for each other.
select id from anzol.endpoint where id = any(:endpoints::uuid[]) order by id for no key update
