// The start page: all but the list of conversations is as the server sent it.

import { startSidebar } from "konstruct/sidebar";

startSidebar();
