/** Writes the results of operations (`protocol/operations/string-op.ts`) as replies. */
import { errorIn, integerIn, resultDone, resultNil, type StringOpResult } from '../../protocol/operations/string-op.ts';
import { opErrorText } from './resp-error.ts';
import { bytesOfValue } from './value.ts';
import { array, bulk, integer, ok, type Writer } from './writer.ts';

export type WriteResults = (results: readonly StringOpResult[], writer: Writer) => string;

export function writeResult(result: StringOpResult, writer: Writer): string {
  if (result === resultDone) return ok;
  switch (result.charCodeAt(0)) {
    case 0x5f:
      return writer.nil;
    case 0x3a:
      return `${result}\r\n`;
    case 0x21:
      return opErrorText(errorIn(result)!);
    default:
      return bulk(bytesOfValue(result));
  }
}

/** The result of the first operation. */
export const writeFirst: WriteResults = (results, writer) => writeResult(results[0]!, writer);

export const writeAll: WriteResults = (results, writer) => array(results.map((result) => writeResult(result, writer)));

/** Whether the condition held, as 1 or 0. */
export const writeWhetherDone: WriteResults = ([result = ''], writer) =>
  result === resultDone ? integer(1) : result === resultNil ? integer(0) : writeResult(result, writer);

export const writeSum: WriteResults = (results) => {
  let sum = 0;
  for (const result of results) sum += integerIn(result);
  return integer(sum);
};

/** The first error, or what `success` is. */
export function writeUnlessFailed(success: string): WriteResults {
  return (results, writer) => {
    const failed = results.find((result) => errorIn(result) !== undefined);
    return failed === undefined ? success : writeResult(failed, writer);
  };
}
