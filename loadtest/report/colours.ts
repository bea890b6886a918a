/** Styles of the HTML report and the README's picture, on light and dark ground. */
const light = `--ground:#ffffff;--card:#f6f8fa;--ink:#1f2328;--faint:#59636e;--line:#d1d9e0;
--good:#116329;--bad:#b3261e;
--ours:#0a7d5a;--redis:#c6302b;--etcd:#2a6fb8;--nats:#7b4bb3;--postgres:#946200;--other:#6b7480;`;
const dark = `--ground:#0d1117;--card:#161b22;--ink:#e6edf3;--faint:#9198a1;--line:#3d444d;--good:#4ac26b;--bad:#ff8078;
--ours:#2fbf8f;--redis:#f0706a;--etcd:#6cb0f5;--nats:#b995ee;--postgres:#e0a83c;--other:#9aa4af;`;

export const colours = `:root{color-scheme:light dark;${light}}
@media (prefers-color-scheme:dark){:root{${dark}}}`;

export const chartStyles = `text{fill:var(--ink);font:12px system-ui,sans-serif}
.strong{font-weight:600}.faint{fill:var(--faint)}.on-bar{fill:var(--ground);font-size:11px}
.grid{stroke:var(--line);stroke-width:1}.mark{stroke:var(--ink);stroke-width:2;stroke-dasharray:3 2}
polyline{fill:none;stroke-width:2}
.ours{fill:var(--ours);stroke:none}polyline.ours{fill:none;stroke:var(--ours)}
.redis{fill:var(--redis)}polyline.redis{fill:none;stroke:var(--redis)}
.etcd{fill:var(--etcd)}polyline.etcd{fill:none;stroke:var(--etcd)}
.nats{fill:var(--nats)}polyline.nats{fill:none;stroke:var(--nats)}
.postgres{fill:var(--postgres)}polyline.postgres{fill:none;stroke:var(--postgres)}
.other{fill:var(--other)}polyline.other{fill:none;stroke:var(--other)}
.series-0{fill:var(--ours)}.series-1{fill:var(--etcd)}.series-2{fill:var(--postgres)}.series-3{fill:var(--nats)}
.series-4{fill:var(--redis)}.series-5{fill:var(--other)}.series-6{fill:#c06c84}.series-7{fill:#6c8e3c}`;

const kinds: Readonly<Record<string, string>> = {
  'Dragon Lock': 'ours',
  Redis: 'redis',
  etcd: 'etcd',
  NATS: 'nats',
  PostgreSQL: 'postgres',
};

/** CSS class of a contestant. */
export function kindOf(title: string): string {
  return kinds[title] ?? 'other';
}
