delete from anzol.portal_code where digest = :digest and expires_at > :now returning environment, claims
