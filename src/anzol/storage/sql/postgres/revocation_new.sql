insert into anzol.revocation as r (environment, subject, issued_through, effective_at, keep_until)
values (:environment, :subject, :issued_through, :effective_at, :keep_until)
on conflict (environment, subject, effective_at) do update
   set issued_through = greatest(r.issued_through, excluded.issued_through),
       keep_until = greatest(r.keep_until, excluded.keep_until)
