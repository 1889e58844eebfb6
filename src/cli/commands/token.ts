/** `shoal token`: makes the two tokens of a private swarm, for those who only read and for those who publish too. */
import { randomBytes } from 'node:crypto';
import { examples, type DefineCommand } from '../runtime.ts';

/** 128 bits a part: no guessing. */
const PART_BYTES = 16;

export const defineToken: DefineCommand = (command, { output }) => {
  command
    .addHelpText(
      'after',
      examples(
        ['shoal token', 'make both'],
        ['shoal tracker --token READ.PUBLISH', 'a tracker that lets in nobody else'],
        ['shoal share ./data --token READ.PUBLISH', 'publishing takes the whole token'],
        ['shoal get big.bin --token READ', 'for downloading its first part is enough'],
      ),
    )
    .action(() => {
      const part = (): string => randomBytes(PART_BYTES).toString('base64url');
      const read = part();
      const publish = `${read}.${part()}`;
      if (output.json) {
        output.document({ read, publish });
        return;
      }
      output.answer(`publish  ${publish}`);
      output.answer(`read     ${read}`);
      output.note('the tracker gets the first; it goes to those who share, the second to those who only download');
    });
};
