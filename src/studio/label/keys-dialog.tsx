import { useEffect, useRef, useState } from 'preact/hooks';
import { actions, bind, bindings, type KeyAction, resetBindings } from './keys.ts';

const PRESS = 'press a key';

/** A dialog that shows the key of each action and changes it. */
export function KeysDialog({ close }: { close(): void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [changing, setChanging] = useState<KeyAction>();
  const [, redraw] = useState(0);
  useEffect(() => dialog.current!.showModal(), []);
  const now = bindings();
  return (
    <dialog
      ref={dialog}
      aria-labelledby="keys-title"
      onClose={close}
      onKeyDown={(event) => {
        if (!changing || ['Shift', 'Control', 'Alt', 'Meta', 'Tab'].includes(event.key)) return;
        event.preventDefault();
        if (event.key !== 'Escape') bind(changing, event.key.toLowerCase());
        setChanging(undefined);
      }}
    >
      <h2 id="keys-title">Keys</h2>
      <table>
        <tbody>
          {(Object.keys(actions) as KeyAction[]).map((action) => (
            <tr>
              <th scope="row">{actions[action]}</th>
              <td>
                <button
                  type="button"
                  aria-label={`${changing === action ? PRESS : now[action]}: change the key of ${actions[action]}`}
                  onClick={() => setChanging(action)}
                >
                  {changing === action ? PRESS : <kbd>{now[action]}</kbd>}
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="quiet">
        The arrow keys choose left, right and equally good as well. In a text field, Escape leaves it and Ctrl Enter
        sends.
      </p>
      <button
        type="button"
        onClick={() => {
          resetBindings();
          redraw((n) => n + 1);
        }}
      >
        Reset to defaults
      </button>{' '}
      <button type="button" onClick={() => dialog.current!.close()}>
        Close
      </button>
    </dialog>
  );
}
