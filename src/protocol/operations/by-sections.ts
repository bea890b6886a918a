/** What is made once for each combination of sections that a batch may have. */
import { sectionsIn, type SectionName } from './operations.ts';

/** Sets, reads, counters, locks and their conditions: most batches have no other section. */
const commonSections = 256;

/**
 * Makes something for each combination of sections when it is first asked for: `of` takes the bits of `sectionsIn`.
 *
 * @param make is given which sections the combination has
 */
export function bySections<Made>(make: (present: (section: { readonly name: SectionName }) => boolean) => Made): {
  of(bits: number): Made;
} {
  const common: (Made | undefined)[] = Array.from({ length: commonSections }, () => undefined);
  // All combinations of all sections would be hundreds of thousands.
  const others = new Map<number, Made>();
  const madeOf = (bits: number): Made => make(({ name }) => (bits & sectionsIn({ [name]: true })) !== 0);
  return {
    of(bits) {
      if (bits < commonSections) return (common[bits] ??= madeOf(bits));
      let made = others.get(bits);
      if (made === undefined) others.set(bits, (made = madeOf(bits)));
      return made;
    },
  };
}
