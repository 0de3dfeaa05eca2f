insert into anzol_revocation (environment, subject, issued_through, effective_at, keep_until)
values (:environment, :subject, :issued_through, :effective_at, :keep_until)
on conflict (environment, subject, effective_at) do update
   set issued_through = max(issued_through, excluded.issued_through), keep_until = max(keep_until, excluded.keep_until)
