/** `dragonlock usage --recount`: compares what a stopped server has counted with what there is. */
import type { Options, Invocation } from './invocation.ts';
import { NegativeResult, UsageError } from './exit-codes.ts';
import { serverFile } from './server-file.ts';

export async function recount({ terminal, json }: Invocation, options: Options): Promise<void> {
  const directory = options['data-dir'];
  if (typeof directory !== 'string')
    throw new UsageError('--recount: expected --data-dir DIRECTORY of a stopped server');
  const { recountDataDirectory } = (await import(serverFile('data-directory/recount').href)) as RecountModule;
  let recounted: Recounted;
  try {
    recounted = await recountDataDirectory(directory);
  } catch (error) {
    throw new NegativeResult((error as Error).message);
  }
  const { entries, bytes, differences } = recounted;
  if (json) terminal.json({ Entries: entries, Bytes: bytes, Differences: differences });
  else {
    for (const { account, what, shard, stored, counted } of differences) {
      const is = `${counted[0]} entries, ${counted[1]} bytes; counted were ${stored[0]} and ${stored[1]}`;
      terminal.line(`${account} ${what}, shard ${shard}: ${is}`);
    }
  }
  if (differences.length > 0) throw new NegativeResult(`${differences.length} counts are wrong.`);
  if (!json) terminal.line(`All counts are right: ${entries} entries, ${bytes} bytes.`);
}

/** The part that is used here. Importing its types would put the server into the npm package. */
interface RecountModule {
  recountDataDirectory: (directory: string) => Promise<Recounted>;
}

interface Recounted {
  readonly entries: number;
  readonly bytes: number;
  readonly differences: readonly {
    readonly shard: number;
    readonly account: string;
    readonly what: string;
    readonly stored: readonly [number, number];
    readonly counted: readonly [number, number];
  }[];
}
