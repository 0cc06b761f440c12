//! The published tables: those that tell more than their owner meant to, and those whose writes fail.

use super::database::one;
use super::finding::{Finding, Patient, fail, ok, warn};
use crate::db::DatabaseError;

/// So many tables are named; the rest is counted.
const NAMED: usize = 4;

/// Everything that is wrong with each published table; `worst` is 2 for what fails, 1 for what should be published again. The map is
/// found by its name as text, since this login may lack the right on its schema that a cast to `regprocedure` asks for.
const FINDINGS: &str = "\
    with published as ( \
        select p.table_name, p.owner_column, p.force, p.map, \
               c.relowner, c.relrowsecurity, f.proowner, f.prosrc \
          from rowcast.published p \
          join pg_catalog.pg_class c on c.oid = p.table_name \
          join pg_catalog.pg_trigger t on t.tgrelid = p.table_name and t.tgname = 'rowcast_publish_write' and t.tgparentid = 0 \
          join pg_catalog.pg_proc f on f.oid = t.tgfoid) \
    select count(distinct p.table_name), coalesce(max(x.worst), 0), \
           coalesce(array_agg(format('%s %s', p.table_name, x.said) order by x.worst desc, p.table_name::text) \
                    filter (where x.said is not null), '{}') \
      from published p \
      left join lateral ( \
        select 2 as worst, 'has row security, which its events have not: publish it again with an owner_column, or with \
                            force => true if everyone may see its rows' as said \
         where p.relrowsecurity and p.owner_column is null and p.force is not true \
        union all \
        select 2, format('has a map that is gone or belongs to a role that may not act as %s, who runs it: give it to %1$s, and \
                          publish the table again', p.proowner::regrole) \
         where p.map is not null and (select pg_has_role(m.proowner, p.proowner, 'member') \
                 from pg_catalog.pg_proc m join pg_catalog.pg_namespace n on n.oid = m.pronamespace \
                where replace(oidvectortypes(m.proargtypes), '\"', '') = 'text, jsonb, jsonb' \
                  and array[n.nspname, m.proname]::text[] = parse_ident(split_part(p.map, '(text,jsonb,jsonb)', 1))) is not true \
        union all \
        select 1, format('belongs to %s, and its events are still told as %s: publish it again', \
                         p.relowner::regrole, p.proowner::regrole) \
         where p.relowner <> p.proowner \
        union all \
        select 1, 'was published by an older version: publish it again' \
         where not starts_with(ltrim(p.prosrc, E'\\n'), '-- Written by rowcast.publish, form 3.')) x on true";

/// Tables whose events show what a policy hides, whose map is no longer trusted, or that should be published again.
pub(super) async fn tables(patient: &Patient<'_>) -> Result<Finding, DatabaseError> {
    let row = one(patient.client()?, FINDINGS).await?;
    let (tables, worst, findings): (i64, i32, Vec<String>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if findings.is_empty() {
        return Ok(ok(format!("{tables} tables are published")));
    }
    let mut said = findings.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
    if findings.len() > NAMED {
        said = format!("{said}; and {} more", findings.len() - NAMED);
    }
    Ok(if worst > 1 { fail(said) } else { warn(said) })
}
