/** What a salvage would do, in words. */
import { unreachable } from '../../shared/assert.ts';
import type { SalvageCut, SalvagePlan, SalvageRepair } from '../../journal/file/salvage.ts';

interface DamagedStore {
  /** Why it cannot be read. */
  readonly reason: string;
  /** Its new name. */
  readonly aside: string;
}

interface Findings {
  readonly plan: SalvagePlan;
  /** Absent: the store can be read. */
  readonly store: DamagedStore | undefined;
}

interface Described {
  readonly text: string;
  readonly exitCode: 0 | 1;
}

export function describePlan({ plan, store }: Findings): Described {
  if (store !== undefined) return withoutStore(plan, store);
  switch (plan.kind) {
    case 'none':
      return { text: nothingToDo(plan), exitCode: 0 };
    case 'hopeless':
      return {
        text:
          `Damage in ${plan.reason}.\n` +
          'Nothing of the journal can be kept, and there is no checkpoint: nothing was changed. The server will not ' +
          'start with this directory: restore a backup.\n',
        exitCode: 1,
      };
    case 'repair':
      return { text: lines(repair(plan)), exitCode: 0 };
    default:
      return unreachable(plan);
  }
}

function nothingToDo({ last, damaged }: Extract<SalvagePlan, { kind: 'none' }>): string {
  const state = last === 0 ? 'There is no journal yet' : `The journal is whole, up to revision ${last}`;
  if (damaged.length === 0) return `${state}: nothing was changed.\n`;
  return lines([
    ...damaged.map(
      ({ file, offset, reason, first, last: end }) =>
        `Damage in ${file} at byte ${offset}: ${reason} (revisions ${first} to ${end}).`,
    ),
    'The checkpoints hold all of that, so the server starts with the journal as it is, and serves everything up to ' +
      `revision ${last}. Lost: none. Only watches that resume before the damage are answered 410.`,
    'Nothing was changed.',
  ]);
}

function repair({ damage, mend, aside, last, cut }: SalvageRepair): string[] {
  const bytes = aside.reduce((sum, one) => sum + one.bytes, 0);
  return [
    `Damage in ${damage}.`,
    ...mend.map(
      (one) =>
        `The header of ${one.mended.name} is made again from what is known; the old one is kept as ${one.aside}.`,
    ),
    ...aside.map((one) => `Set aside, and never read again: ${one.name} (${one.bytes} bytes), as ${one.to}.`),
    `Kept: everything up to revision ${last}. ${lost(cut)}`,
    `Set aside in all: ${aside.length} segments, ${bytes} bytes, in the directory of the journal.`,
    ...(cut === undefined
      ? []
      : [
          `The journal goes on with revision ${cut.to.revision} and epoch ${cut.to.epoch + 1}, so that no version, ` +
            'fencing token or cursor is ever given out twice. Counters, sequences and locks go back to what was kept.',
        ]),
  ];
}

function lost(cut: SalvageCut | undefined): string {
  if (cut === undefined) return 'Lost: none.';
  const { first, last } = cut.lost;
  const range = last === undefined ? `from ${first} on, if there were any` : `${first}..${last}`;
  return `Lost: revisions ${range}, except for what the checkpoints of single shards hold of them.`;
}

/** Everything can be made again from a journal that begins with the first revision. */
function withoutStore(plan: SalvagePlan, { reason, aside }: DamagedStore): Described {
  const found = `The store is damaged: ${reason}.`;
  const missing =
    plan.kind === 'hopeless' ? plan.reason : plan.kind === 'none' && plan.last === 0 ? 'it is missing' : undefined;
  if (missing !== undefined) {
    const text = lines([found, `The journal does not have everything either: ${missing}.`, restore]);
    return { text, exitCode: 1 };
  }
  const journal = plan.kind === 'repair' ? repair(plan) : ['The journal has everything from the beginning.'];
  return {
    text: lines([
      found,
      `Set aside: the store, as ${aside}. The next start makes a new one from the journal.`,
      ...journal,
      ...(plan.kind === 'none' ? ['Lost: none.'] : []),
    ]),
    exitCode: 0,
  };
}

const restore = 'Nothing was changed. The server will not start with this directory: restore a backup.';

function lines(all: readonly string[]): string {
  return `${all.join('\n')}\n`;
}
