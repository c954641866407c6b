/** Packages that an installation may leave out: those of one part of heed, which are large. */
import { HeedError, messageOf } from './error.ts';

/**
 * A package of `optionalDependencies`, or of optional `peerDependencies`, once it is loaded.
 *
 * @param name - Its name on npm.
 * @param purpose - What needs it, as the subject of a sentence.
 * @throws HeedError that says what to install where it is missing or damaged.
 */
export async function optionalPackage<Package>(name: string, purpose: string): Promise<Package> {
  try {
    // a bundler leaves such an import as it is, where it would refuse one by name of what is not installed
    return (await import(name)) as Package;
  } catch (cause) {
    throw new HeedError(`${purpose} needs the package ${name}, which cannot be loaded: ${firstLine(cause)}`, {
      hint: `install it beside heed: npm install ${name}`,
      cause,
    });
  }
}

const firstLine = (cause: unknown): string => messageOf(cause).split('\n')[0];
