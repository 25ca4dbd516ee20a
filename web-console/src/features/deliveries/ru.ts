import type { Translated } from '@/feature'
import type en from './en'

const ru: Translated<typeof en> = {
  title: 'Доставки',
  one: 'Доставка',
  statuses: { accepted: 'Принята', processed: 'Обработана', ignored: 'Без действий' },
  fields: {
    status: 'Состояние',
    event: 'Событие',
    action: 'Действие',
    repository: 'Репозиторий',
    sender: 'Отправитель',
    reason: 'Итог',
    duplicates: 'Повторы',
    replays: 'Переигрывания',
    received: 'Получена',
    processed: 'Обработана',
    sha256: 'SHA-256',
  },
  /** What came of it; the codes are the worker's. */
  outcomes: {
    run_created: 'Создан запуск',
    label_not_used: 'Метка ничего не начинает',
    label_conflict: 'Метки противоречат друг другу',
    label_gone: 'Метки больше нет',
    label_removed: 'Метку уже сняли',
    labeled_by_bot: 'Метку поставил бот',
    unknown_stage: 'Неизвестный этап',
    unknown_repository: 'Неизвестный репозиторий',
    no_permission: 'Недостаточно прав',
    issue_busy: 'У задачи уже есть запуск',
    issue_closed: 'Задача закрыта',
    issue_gone: 'Задачи больше нет',
    held_back: 'Придержано',
    event_not_used: 'Событие не используется',
    action_not_used: 'Действие не используется',
    pull_request: 'Это запрос на слияние, не задача',
    payload_gone: 'Содержимое уже не хранится',
    unreadable_payload: 'Содержимое не читается',
  },
  empty: { title: 'Доставок нет', text: 'Добавьте вебхук в репозиторий, и всё, что пришлёт GitHub, будет записано здесь.' },
  payload: 'Содержимое',
  payloadGone: 'Содержимое больше не хранится.',
  copyId: 'Скопировать номер доставки',
  replay: {
    action: 'Переиграть',
    ask: 'Переиграть эту доставку?',
    help: 'Новое задание обработает её содержимое ещё раз. Уже начатый ею запуск дважды не начнётся.',
    possible: 'Пробный прогон: содержимое на месте, задание будет поставлено.',
    done: 'Переиграно: задание {id}',
  },
}
export default ru
