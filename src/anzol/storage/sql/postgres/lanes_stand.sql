-- How lanes stand, locked in order: two that lock several do not wait for each other. Whoever has one is waited for:
-- what he leaves is what counts.
select endpoint_id, holder, parked, turn_at
  from anzol.lane where endpoint_id = any(:lanes::uuid[]) order by endpoint_id for update
