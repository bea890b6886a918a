/** `dragonlock export`, `import` and `account delete`; export-file.ts has the format of the file. */
import type { DragonLock } from '../client/dragon-lock.ts';
import { systemAfter } from '../shared/clock.ts';
import type { Run } from './command-spec.ts';
import { NegativeResult, UsageError } from './exit-codes.ts';
import { isComplete, output, pagesOf, placeIn, spooled } from './export-file.ts';
import { readInput } from './files.ts';
import type { Terminal } from './terminal.ts';

const pollMs = 200;

export const exportAccount: Run = async (invocation, { options }) => {
  const { terminal } = invocation;
  const { file, resume } = options;
  if (resume === true && typeof file !== 'string') throw new UsageError('--resume: expected --file FILE with it');
  const client = await invocation.client();
  const place = typeof file === 'string' && resume === true ? placeIn(file) : undefined;
  const out =
    typeof file === 'string'
      ? output(file, place?.end)
      : { write: (text: string) => terminal.write(text), close: () => undefined };
  const shown = new Shown(terminal);
  let changes = place?.changes ?? false;
  let lines = 0;
  let rev = 0;
  try {
    if (place?.after === undefined) out.write(`${JSON.stringify({ Export: 1, Account: client.account })}\n`);
    for await (const page of client.accounts.export({ after: place?.after })) {
      let text = page.changes && !changes ? '{"Changes":true}\n' : '';
      changes ||= page.changes;
      for (const line of page.lines) text += `${JSON.stringify(line)}\n`;
      if (page.after !== undefined) text += `${JSON.stringify({ After: page.after })}\n`;
      out.write(text);
      lines += page.lines.length;
      ({ rev } = page);
      shown.show(`${lines} lines`);
    }
    out.write(`${JSON.stringify({ End: true, Rev: rev })}\n`);
  } finally {
    shown.erase();
    out.close();
  }
  terminal.errorLine(`Exported ${lines} lines, as of revision ${rev}; no leases of locks or of messages.`);
};

export const importAccount: Run = async (invocation, { args, options }) => {
  const { terminal, json } = invocation;
  const [given = ''] = args;
  const client = await invocation.client();
  const spool = given === '-' ? spooled(() => readInput('-')) : undefined;
  const file = spool?.file ?? given;
  const shown = new Shown(terminal);
  let resume = typeof options['resume'] === 'string' ? options['resume'] : undefined;
  try {
    if (options['partial'] !== true && !isComplete(file))
      throw new UsageError(`${given}: the export was interrupted; finish it with export --resume, or add --partial`);
    const { loaded, ended } = await client.accounts.import(() => pagesOf(file), {
      resume,
      onProgress: (progress) => {
        ({ resume } = progress);
        shown.show(`${progress.loaded} lines`);
      },
    });
    shown.erase();
    if (json) terminal.json({ Loaded: loaded, Ended: ended });
    else terminal.errorLine(`Imported ${loaded} lines; the time of ${ended} more was over.`);
  } catch (error) {
    shown.erase();
    if (resume !== undefined) terminal.errorLine(`To go on with the same file, add --resume ${resume}`);
    throw error;
  } finally {
    spool?.remove();
  }
};

export const deleteAccount: Run = async (invocation, { args, options }) => {
  const [name = ''] = args;
  invocation.setGlobal('account', name);
  const { terminal, json } = invocation;
  const client = await invocation.client();
  const { entries } = await client.accounts.delete({ confirm: name });
  if (options['no-wait'] !== true) await untilGone(client, terminal);
  if (json) terminal.json({ Account: name, Entries: entries });
  else terminal.errorLine(`Deleted ${entries} entries of the account ${JSON.stringify(name)}.`);
  if (entries === 0) throw new NegativeResult(`The account ${JSON.stringify(name)} had nothing.`);
};

async function untilGone(client: DragonLock, terminal: Terminal): Promise<void> {
  const shown = new Shown(terminal);
  for (;;) {
    const { deleting, entries } = await client.usage();
    if (deleting !== true) return shown.erase();
    shown.show(`${Object.values(entries).reduce((sum, count) => sum + count, 0)} entries are left`);
    await new Promise<void>((resolve) => void systemAfter(pollMs, resolve));
  }
}

/** One line on a terminal, which is replaced. */
class Shown {
  readonly #terminal: Terminal;
  #erase: (() => void) | undefined;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  show(message: string): void {
    this.erase();
    if (this.#terminal.showsErrors) this.#erase = this.#terminal.transient(message);
  }

  erase(): void {
    this.#erase?.();
    this.#erase = undefined;
  }
}
